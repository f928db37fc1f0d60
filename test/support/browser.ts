import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { installFromDebian } from "./debian.ts";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The path of a Chromium on this machine; undefined when there is none. */
async function findBrowser(): Promise<string | undefined> {
  for (const dir of (process.env.PATH ?? "").split(delimiter).filter(Boolean)) {
    for (const name of names) {
      const path = join(dir, name);
      if (
        await access(path, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return path;
    }
  }
  return undefined;
}

/**
 * Makes sure of a browser for the tests of pages: Debian's chromium, installed
 * when there is none and this is root on Debian. Elsewhere it is for people to
 * install, and the tests say so. `say` is told when it takes a while.
 */
export async function ensureBrowser(say: (line: string) => void): Promise<void> {
  if ((await findBrowser()) !== undefined || process.getuid?.() !== 0) return;
  await installFromDebian(["chromium", "fonts-dejavu-core"], say);
}

/** A headless browser that talks to nobody but the page's own server. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = await findBrowser();
  if (executablePath === undefined) {
    throw new Error("no browser found: install chromium (Debian: apt-get install chromium) so that it is on the PATH");
  }
  return chromium.launch({
    executablePath,
    args: [
      // Root, as in containers, gets no sandbox of its own.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}
