import { native, type ProfileRow } from './native.js';

export type { ProfileRow };

/**
 * Runs `body` and returns what each operator took meanwhile in this process, backward passes included, the slowest first.
 * Seconds are those in an operator itself, so that they add up to the whole.
 *
 * @throws if a profile is being taken already.
 */
export function profile(body: () => void): ProfileRow[] {
  native.startProfile();
  try {
    body();
  } catch (error) {
    native.stopProfile();
    throw error;
  }
  return native.stopProfile().sort((a, b) => b.seconds - a.seconds);
}
