/** Why a folder that a variable names cannot be used, and what to do about it, in one sentence. */
export function folderComplaint(variable: string, path: string, error: unknown): string {
  const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error) };
  const elsewhere = `set ${variable} to another folder`;
  switch (code) {
    case "EROFS":
      return `${variable}: ${path} is on a read-only file system (${code}): mount it writable, or ${elsewhere}.`;
    case "EACCES":
    case "EPERM":
      return `${variable}: ${path} cannot be written by this user (${code}): make it and what lies in it writable, or ${elsewhere}.`;
    case "ENOSPC":
    case "EDQUOT":
      return `${variable}: the disk of ${path} is full (${code}): make room, or ${elsewhere}.`;
    case "ENOTDIR":
    case "EEXIST":
      return `${variable}: ${path} is a file, or lies below one (${code}): ${elsewhere}.`;
    default:
      return `${variable}: ${path} cannot be used (${message}): ${elsewhere}.`;
  }
}
