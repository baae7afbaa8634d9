import { UsageError } from './errors.js';

/** @throws UsageError where a command line asks for a network that there is not. */
export async function checkAskedModel(name: string): Promise<void> {
  const { checkedModelName } = await import('../models/registry.js');
  try {
    checkedModelName(name);
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}
