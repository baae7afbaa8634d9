import { native, type ProfileRow } from './native.js';

export type { ProfileRow };

/**
 * Runs `body` and returns what each operator took meanwhile in this process, backward passes included, the slowest first.
 * Seconds are those in an operator itself, so that they add up to the whole. On a CUDA device each is waited for, before and after.
 *
 * @throws if a profile is being taken already.
 */
export function profile(body: () => void, device = 'cpu'): ProfileRow[] {
  native.startProfile(device);
  try {
    body();
  } catch (error) {
    native.stopProfile();
    throw error;
  }
  return native.stopProfile().sort((a, b) => b.seconds - a.seconds);
}
