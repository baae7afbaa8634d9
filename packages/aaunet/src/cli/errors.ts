/** Wrong usage of the command line: exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The user asked to stop (Ctrl-C): exit status 1 without the word "error". */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

/** What the command line ends with: done, failed, wrong usage. */
export type ExitCode = 0 | 1 | 2;

/** Causes of system calls in words, since `EACCES: permission denied, open 'x'` is no sentence. */
const SYSTEM_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'a file of this size is not allowed there',
  EEXIST: 'there is a file in the place of a folder',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  EMFILE: 'too many files are open',
};

/** An error in one sentence of one line, without a stack trace. */
export function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path } = error as NodeJS.ErrnoException;
  const reason = code === undefined ? undefined : SYSTEM_REASONS[code];
  if (reason !== undefined && path !== undefined) return `Cannot use ${path}: ${reason}.`;
  return error.message.trim().split(/\s*\n\s*/)[0] ?? error.name;
}

/** The exit status that an error means. */
export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof UsageError ? 2 : 1;
}

/**
 * What is printed to stderr for an error: one sentence, and with `verbose` the stack and the causes.
 */
export function describeError(error: unknown, verbose: boolean): string {
  const prefix = error instanceof InterruptedError ? '' : 'error: ';
  const lines = [`${prefix}${sentenceOf(error)}`];
  if (error instanceof UsageError) lines.push('See --help.');
  if (verbose && error instanceof Error) {
    if (error.stack !== undefined) lines.push(error.stack);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      lines.push(`caused by: ${cause.stack ?? cause.message}`);
    }
  }
  return lines.join('\n');
}
