// What npm writes, in our words. Plain JavaScript, no packages, no new syntax.

/** What npm says when nobody answers, of Node's errors and its own. */
const unreachable =
  /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ECONNABORTED|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EPIPE|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT|ERR_STREAM_PREMATURE_CLOSE|FETCH_ERROR)$/;
const untrusted = /CERT|SSL|TLS|UNABLE_TO_VERIFY/;

/**
 * How far npm is, of a line that it writes at log level http.
 *
 * @param {string} line
 * @returns {{ kind: "package" } | { kind: "retry", host: string, code: string } | undefined}
 */
export function readNpmLine(line) {
  if (/^npm http fetch GET 2\d\d \S+\.tgz /.test(line)) return { kind: "package" };
  const failed = /^npm http fetch GET (\S+) attempt \d+ failed with (\S+)/.exec(line);
  return failed ? { kind: "retry", host: hostOf(failed[1]), code: failed[2] } : undefined;
}

/**
 * Why npm ci failed and what to do about it, in one sentence.
 *
 * @param {string} output All that npm wrote.
 * @param {string} root The folder that it installs into.
 */
export function explainNpmFailure(output, root) {
  const errors = [...output.matchAll(/^npm (?:error|ERR!) ?(.*)$/gm)].map((match) => match[1]);
  const field = (name) => {
    const found = errors.find((line) => line.startsWith(`${name} `));
    return found ? found.slice(name.length + 1).trim() : undefined;
  };
  const code = field("code") || "no code";
  const logFile = (/complete log of this run can be found in: *(\S+)/.exec(output) || [])[1];
  const log = logFile ? ` (npm's log: ${logFile})` : "";
  const retry = output.split("\n").map(readNpmLine).reverse().find(isRetry);
  const registry = retry ? `the npm registry ${retry.host}` : "the npm registry";
  if (unreachable.test(code)) {
    return `${registry} cannot be reached (${code}): check the network, or npm's settings "registry" and "proxy", and start again${log}.`;
  }
  if (untrusted.test(code)) {
    return `${registry} is not trusted (${code}): name its certificate in npm's setting "cafile", and start again${log}.`;
  }
  if (/^(E401|E403|E407|ENEEDAUTH)$/.test(code)) {
    return `${registry} lets nobody in (${code}): log in with npm login, or correct npm's setting "registry", and start again${log}.`;
  }
  if (/^(EACCES|EPERM|EROFS)$/.test(code)) {
    const path = field("path") || root;
    return `${path} cannot be written (${code}): make it writable for this user and start again${log}.`;
  }
  if (code === "ENOSPC" || code === "EDQUOT") {
    return `the disk is full (${code}, in ${field("path") || root} or npm's cache): make room and start again${log}.`;
  }
  if (/^(EINTEGRITY|ENOENT|Z_BUF_ERROR|TAR_BAD_ARCHIVE)$/.test(code)) {
    return `npm's cache seems to be broken (${code}): run "npm cache clean --force" and start again${log}.`;
  }
  const said = errors.find((line) => line && !/^(code|errno|syscall|path) /.test(line));
  return `npm ci failed (${code}${said ? `: ${said}` : ""}): mend that and start again${log}.`;
}

/** @param {ReturnType<typeof readNpmLine>} news */
function isRetry(news) {
  return news !== undefined && news.kind === "retry";
}

/** @param {string} url */
function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}
