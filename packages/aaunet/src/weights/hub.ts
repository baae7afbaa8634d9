import { open } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

import { replaceFile } from '../atomic.js';

/** Where timm's weights are published, each model a repository of its own. */
const HUB = 'https://huggingface.co';
const FILE = 'model.safetensors';
const TIMM_NAME = /^timm\/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/;
/** The largest published encoders have a few hundred MB. */
const MAX_BYTES = 4 * 2 ** 30;

export interface HubOptions {
  /** Where downloaded weights are kept; default `$XDG_CACHE_HOME/aaunet/weights`. */
  readonly cache?: string | undefined;
  /** Bytes done of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The file of some weights: `source` itself, or for timm's name of a model, `timm/resnest50d.in1k`, the file that timm
 * publishes on the Hugging Face hub. It is downloaded once and then found in the cache, without asking the network.
 * `HF_ENDPOINT` names another server and `HF_TOKEN` gives access, as for Hugging Face's own tools.
 *
 * @throws Error of one sentence if the model is not there or the hub cannot be reached; nothing half is left.
 */
export async function locateWeights(source: string, options: HubOptions = {}): Promise<string> {
  if (!TIMM_NAME.test(source) || existsSync(source)) return source;
  const { cache = defaultCache(), onProgress, signal } = options;
  const path = join(cache, source, FILE);
  if (existsSync(path)) return path;
  const blob = await find(source).catch((error: unknown) => {
    throw unreachable(source, path, error);
  });
  if (blob === null)
    throw new Error(
      `The hub has no ${FILE} for ${source}; timm lists its models at ${HUB}/timm, encoders of ours among them.`,
    );
  if (blob.size > MAX_BYTES)
    throw new Error(`${source} has ${blob.size} bytes, more than the ${MAX_BYTES} that weights may have.`);
  await replaceFile(path, async (temporary) => {
    const handle = await open(temporary, 'wx');
    try {
      let done = 0;
      for await (const chunk of blob.stream() as AsyncIterable<Uint8Array>) {
        signal?.throwIfAborted();
        await handle.writeFile(chunk);
        done += chunk.length;
        onProgress?.(done, blob.size);
      }
      if (done !== blob.size) throw new Error(`expected ${blob.size} bytes, found ${done}`);
    } catch (error) {
      throw signal?.aborted === true ? error : unreachable(source, path, error);
    } finally {
      await handle.close();
    }
  });
  return path;
}

async function find(repository: string): Promise<Blob | null> {
  const { downloadFile } = await import('@huggingface/hub');
  const accessToken = process.env['HF_TOKEN'];
  return downloadFile({
    repo: repository,
    path: FILE,
    hubUrl: process.env['HF_ENDPOINT'] ?? HUB,
    ...(accessToken === undefined ? {} : { accessToken }),
  });
}

function unreachable(source: string, path: string, error: unknown): Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Error(
    `${source} could not be fetched from the hub (${reason}); connect to the network, or put the file at ${path}, or name a .safetensors or .pth file.`,
    { cause: error },
  );
}

function defaultCache(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.cache'), 'aaunet', 'weights');
}
