import { UsageError } from './errors.js';

/** @throws UsageError where a command line asks for a network that there is not. */
export async function checkAskedModel(name: string): Promise<void> {
  const registry = await import('../models/registry.js');
  try {
    const check: (asked: string) => void = registry.checkModelName;
    check(name);
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}
