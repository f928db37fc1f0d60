import { ConfigError } from "./environment.ts";
import { exitCodes } from "./exit-codes.ts";

/**
 * Returns what `read` returns. When it throws a ConfigError, all problems are
 * printed on stderr and the process ends here with the exit code of a bad
 * configuration: call it before anything is opened.
 */
export function configOrExit<Config>(name: string, read: () => Config): Config {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n`);
    process.exit(exitCodes.badConfiguration);
  }
}
