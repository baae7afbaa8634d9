// One side of a measurement: a worker process that does a step whenever it is told to (see ours/worker.mjs, peers/worker.py).
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Lines of a worker's standard error that a failure quotes. */
const QUOTED_LINES = 3;

export class Side {
  #child;
  #answers;
  #errors = '';

  /** @param command program and arguments; `name` is what the report calls this side */
  constructor({ name, command }) {
    this.name = name;
    this.#child = spawn(command[0], command.slice(1), { stdio: 'pipe' });
    this.#child.stderr.on('data', (chunk) => (this.#errors = (this.#errors + String(chunk)).slice(-10_000)));
    // A worker that has ended is noticed where its answer is missed.
    this.#child.stdin.on('error', () => undefined);
    this.#child.on('error', (error) => (this.#errors += error.message));
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** The worker's first answer: what it is. */
  ready(seconds) {
    return this.#answer(seconds, 'did not start');
  }

  /** Seconds of one step. */
  async step(seconds) {
    this.#child.stdin.write('step\n');
    return (await this.#answer(seconds, 'did not finish a step')).seconds;
  }

  /** Ends the worker; its last answer is its peak memory. */
  end() {
    this.#child.stdin.end();
    return this.#answer(60, 'did not end');
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  async #answer(seconds, failure) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`${failure} within ${seconds} s`));
      }, seconds * 1000);
    });
    try {
      const { value, done } = await Promise.race([this.#answers.next(), late]);
      if (done) throw new Error(`ended: ${this.#errors.trim().split('\n').slice(-QUOTED_LINES).join(' ')}`);
      return JSON.parse(value);
    } finally {
      clearTimeout(timer);
    }
  }
}
