import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { locateWeights } from './hub.js';

const WEIGHTS = Buffer.from('the bytes of some weights '.repeat(1000));
const NAME = 'timm/resnest50d.in1k';

let server: Server;
let requests: string[];
let cut = false;
let cache: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (request.url !== `/${NAME}/resolve/main/model.safetensors`) {
      response.writeHead(404).end('{"error":"Repository not found"}');
      return;
    }
    const [from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '')?.slice(1) ?? [];
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to), WEIGHTS.length - 1) : WEIGHTS.length - 1;
    const part = WEIGHTS.subarray(start, end + 1);
    response.writeHead(from === undefined ? 200 : 206, {
      etag: '"abc"',
      'content-length': part.length,
      'content-range': `bytes ${start}-${end}/${WEIGHTS.length}`,
    });
    if (cut && part.length > 100) {
      response.write(part.subarray(0, 100), () => response.destroy());
      return;
    }
    response.end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

beforeEach(async () => {
  requests = [];
  cut = false;
  cache = await mkdtemp(join(tmpdir(), 'aaunet-hub-'));
  vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(cache, { recursive: true, force: true });
});

afterAll(() => {
  server.close();
});

describe('locateWeights', () => {
  it('leaves the path of a file as it is, and asks no network', async () => {
    expect(await locateWeights('weights/resnest50d.pth', { cache })).toBe('weights/resnest50d.pth');
    expect(requests).toEqual([]);
  });

  it("downloads timm's file once and finds it in the cache afterwards, also without network", async () => {
    const progress: [number, number][] = [];
    const path = await locateWeights(NAME, { cache, onProgress: (...step) => progress.push(step) });
    expect(readFileSync(path)).toEqual(WEIGHTS);
    expect(progress.at(-1)).toEqual([WEIGHTS.length, WEIGHTS.length]);
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1');
    expect(await locateWeights(NAME, { cache })).toBe(path);
  });

  it('says in a sentence that there is no network and what to do', async () => {
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1');
    await expect(locateWeights(NAME, { cache })).rejects.toThrow(
      /^timm\/resnest50d\.in1k could not be fetched from the hub \(.+\); connect to the network, or put the file at .+\.$/,
    );
  });

  it('says that the hub does not know a model', async () => {
    await expect(locateWeights('timm/no-such-model', { cache })).rejects.toThrow(/no-such-model/);
  });

  it('leaves nothing of a download that is cut off', async () => {
    cut = true;
    await expect(locateWeights(NAME, { cache })).rejects.toThrow(/could not be fetched/);
    const folder = join(cache, NAME);
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
  });

  it('never makes a path that leaves the cache', async () => {
    expect(await locateWeights('timm/../../etc/passwd', { cache })).toBe('timm/../../etc/passwd');
    expect(requests).toEqual([]);
  });
});
