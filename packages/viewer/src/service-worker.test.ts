import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';

import { expect, it } from 'vitest';

it('gives on an answer that there is no room to keep, and a kept one where there is no network', async () => {
  const listeners = new Map<string, (event: object) => void>();
  const fresh = { status: 200, clone: () => fresh };
  const kept = { status: 200 };
  let isOnline = true;
  runInNewContext(readFileSync(new URL('service-worker.js', import.meta.url), 'utf8'), {
    URL,
    FILES: [],
    self: {
      location: new URL('http://127.0.0.1:8080/service-worker.js'),
      addEventListener: (name: string, listener: (event: object) => void) => listeners.set(name, listener),
    },
    caches: {
      open: () =>
        Promise.resolve({
          put: () => Promise.reject(new DOMException('Quota exceeded.', 'QuotaExceededError')),
          match: () => Promise.resolve(kept),
        }),
    },
    fetch: () => (isOnline ? Promise.resolve(fresh) : Promise.reject(new TypeError('offline'))),
  });
  const waited: Promise<unknown>[] = [];
  const answer = (): Promise<unknown> =>
    new Promise((resolve) => {
      const request = { method: 'GET', url: 'http://127.0.0.1:8080/model.onnx' };
      listeners.get('fetch')!({
        request,
        respondWith: resolve,
        waitUntil: (task: Promise<unknown>) => waited.push(task),
      });
    });
  expect(await answer()).toBe(fresh);
  await Promise.all(waited);
  expect(waited).toHaveLength(1);
  isOnline = false;
  expect(await answer()).toBe(kept);
});
