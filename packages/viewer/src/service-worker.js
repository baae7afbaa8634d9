/* global FILES */
// Keeps the page's own files, so that it works without a network once it has been loaded. Patients' data never pass here:
// files that a user opens are read inside the page and are no requests. The build puts the list FILES before this; a browser
// installs the worker anew when it changes.
const CACHE = 'aaunet-viewer';
const MODEL = 'model.onnx';

self.addEventListener('install', (event) => {
  const keep = async () => {
    await (await caches.open(CACHE)).addAll(FILES);
    await self.skipWaiting();
  };
  event.waitUntil(keep());
});

self.addEventListener('activate', (event) => {
  const forgetOld = async () => {
    const cache = await caches.open(CACHE);
    const own = new Set([...FILES, MODEL].map((file) => new URL(file, self.location.href).href));
    for (const request of await cache.keys()) if (!own.has(request.url)) await cache.delete(request);
    await self.clients.claim();
  };
  event.waitUntil(forgetOld());
});

/** The network first, so that a new version is seen at once; what was kept where there is none. */
const answer = async (event) => {
  const { request } = event;
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.status === 200) {
      // A browser may have no room for it, which makes the answer no worse.
      event.waitUntil(cache.put(new URL(request.url).pathname, response.clone()).catch(() => undefined));
    }
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
};

self.addEventListener('fetch', (event) => {
  const { method, url } = event.request;
  if (method === 'GET' && new URL(url).origin === self.location.origin) event.respondWith(answer(event));
});
