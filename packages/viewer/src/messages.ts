import { box } from './elements.js';

/** Says in the page what is going on. */
export function say(text: string): void {
  box('status').textContent = text;
}

/** Says in the page what went wrong. */
export function fail(error: unknown): void {
  box('error').textContent = error instanceof Error ? error.message : String(error);
  box('error').hidden = false;
  say('');
}

/** Runs what a user asked for; what goes wrong is said in the page. */
export function attempt(task: () => Promise<void>): void {
  box('error').hidden = true;
  task().catch(fail);
}
