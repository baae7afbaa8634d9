import { spawn } from 'node:child_process';

/** Prints one line of progress on standard error: standard output belongs to results. */
export function say(line) {
  process.stderr.write(`aaunet: ${line}\n`);
}

/** A byte count for people: `12.3 MB`. */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Returns a function that passes at most one line in `intervalMs` to `report`; the line is made only when it is shown. */
export function throttled(report, intervalMs = 3000) {
  let next = Date.now() + intervalMs;
  return (makeLine) => {
    if (Date.now() < next) return;
    next = Date.now() + intervalMs;
    report(makeLine());
  };
}

/**
 * Runs a program without a shell and never throws: `{ code, stdout, stderr }`, where code 127 stands for "not found" and
 * 124 for "took longer than timeoutMs". Both streams keep their last 256 KiB.
 */
export function run(command, args, { timeoutMs = 60_000, env = process.env } = {}) {
  return new Promise((resolve) => {
    const output = { stdout: '', stderr: '' };
    let timedOut = false;
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8');
      child[stream].on('data', (text) => {
        output[stream] = (output[stream] + text).slice(-262_144);
      });
    }
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve({ code: 127, stdout: '', stderr: error.message });
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: timedOut ? 124 : (code ?? 1), ...output });
    });
  });
}

/** The last line of a program's complaints that says something. */
export function lastLine(text) {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('[notice]'));
  return (lines.at(-1) ?? 'no message').slice(0, 300);
}
