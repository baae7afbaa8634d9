import { existsSync } from 'node:fs';
import { mkdtemp, open, realpath, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP, type AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

export interface ServeOptions {
  /**
   * An ONNX file of `aaunet export`, offered to the page as model.onnx, or a run folder or `.safetensors` file that is exported
   * for as long as the server runs; without it the page asks for one.
   */
  readonly model?: string | undefined;
  /** 8080 by default; 0 takes any free one. */
  readonly port?: number | undefined;
  /** 127.0.0.1 by default: nobody else on the network reaches it. */
  readonly host?: string | undefined;
  /** Folder of the built page. */
  readonly page?: string | undefined;
  /** Gives up an export that the model needs. */
  readonly signal?: AbortSignal | undefined;
}

/** A server that runs. */
export interface ViewerServer {
  readonly url: string;
  readonly close: () => Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.onnx': 'application/octet-stream',
};

/** Far more than a page asks for at once; those who send nothing or take nothing for so long are let go. */
const LIMITS = { connections: 64, headerBytes: 8192, requestMs: 10_000, idleMs: 60_000 } as const;

/** Threads of WebAssembly need the first two; the rest keeps a patient's data in the page. */
const HEADERS: Readonly<Record<string, string>> = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), usb=()',
  'Cache-Control': 'no-cache',
};

function refuse(response: ServerResponse, status: number, text: string): void {
  // What else the request brings is not read.
  const headers = { ...HEADERS, 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close' };
  response.writeHead(status, headers).end(`${text}\n`);
}

/** The folder of the built page, in a checkout or an installed package. */
function builtPage(): string {
  const source = fileURLToPath(new URL('../../../viewer/dist', import.meta.url));
  if (existsSync(join(source, 'index.html'))) return source;
  try {
    return fileURLToPath(new URL('dist', import.meta.resolve('@aaunet/viewer/package.json')));
  } catch {
    return source;
  }
}

/**
 * Whether a request was meant for this server. A page elsewhere can let its own name point here (DNS rebinding) and would then
 * read what is served; addresses cannot be bent so, and the names of this machine are known.
 */
function isForUs(request: IncomingMessage, host: string): boolean {
  const { host: asked = '' } = request.headers;
  const name = /^(?:\[([^\]]*)\]|([^:]*))(?::\d+)?$/.exec(asked.toLowerCase());
  const found = name?.[1] ?? name?.[2];
  if (found === undefined) return false;
  return isIP(found) > 0 || ['localhost', host.toLowerCase(), hostname().toLowerCase()].includes(found);
}

/** The file that a request means; undefined where there is none inside of the page's folder. */
async function fileOf(request: IncomingMessage, page: string, model: string | undefined): Promise<string | undefined> {
  let path: string;
  try {
    path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
  } catch {
    return undefined;
  }
  if (path === '/model.onnx') return model;
  if (path.includes('\0')) return undefined;
  const file = await realpath(join(page, path === '/' ? 'index.html' : path)).catch(() => undefined);
  if (!file?.startsWith(page + sep)) return undefined;
  return (await stat(file)).isFile() ? file : undefined;
}

/** The ONNX file to offer, and what takes it away again. */
async function offered({
  model,
  signal,
}: ServeOptions): Promise<{ file: string | undefined; remove: () => Promise<void> }> {
  if (model === undefined || model.endsWith('.onnx')) {
    if (model !== undefined && !(await stat(model).catch(() => undefined))?.isFile()) {
      throw new Error(
        `Expected an .onnx file at ${model}, found none: write one with "aaunet export RUN --out FILE.onnx".`,
      );
    }
    return { file: model, remove: () => Promise.resolve() };
  }
  const folder = await mkdtemp(join(tmpdir(), 'aaunet-serve-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const { exportModel } = await import('../export/export-model.js');
    const { out } = await exportModel(model, { out: join(folder, 'model.onnx'), signal });
    return { file: out, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/**
 * Serves the viewer's page and a model on this machine: static files alone, nothing is ever received.
 *
 * @throws Error where the page is not built, the model is no ONNX file, or the port is taken.
 */
export async function serve({
  model,
  port = 8080,
  host = '127.0.0.1',
  page,
  signal,
}: ServeOptions = {}): Promise<ViewerServer> {
  const folder = await realpath(page ?? builtPage()).catch(() => '');
  if (!existsSync(join(folder, 'index.html'))) {
    throw new Error('Expected the built page of @aaunet/viewer, found none: run "npm run build" first.');
  }
  const { file: offer, remove } = await offered({ model, signal });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!isForUs(request, host)) {
      refuse(response, 421, `Expected a request for this machine's name or address; start "aaunet serve --host NAME".`);
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      refuse(response, 405, 'Only reading is possible here.');
      return;
    }
    const path = await fileOf(request, folder, offer);
    if (path === undefined) {
      refuse(response, 404, 'There is no such file.');
      return;
    }
    await using file = await open(path);
    response.writeHead(200, {
      ...HEADERS,
      'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
      'Content-Length': (await file.stat()).size,
    });
    if (request.method === 'HEAD') response.end();
    else await pipeline(file.createReadStream({ autoClose: false }), response);
  };
  const server: Server = createServer(
    { maxHeaderSize: LIMITS.headerBytes, requestTimeout: LIMITS.requestMs, headersTimeout: LIMITS.requestMs },
    (request, response) => {
      answer(request, response).catch(() => {
        if (response.headersSent) response.destroy();
        else refuse(response, 500, 'The file could not be read.');
      });
    },
  );
  server.maxConnections = LIMITS.connections;
  server.setTimeout(LIMITS.idleMs);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const expected = ['EADDRINUSE', 'EACCES'].includes(error.code ?? '')
        ? `port ${port} of ${host} to be free, found: ${error.message}. Take another with --port.`
        : `an address of this machine to listen on, found ${host} (${error.message}). Name one with --host.`;
      reject(new Error(`Expected ${expected}`, { cause: error }));
    });
    server.listen(port, host, resolve);
  }).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${taken}/`,
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      });
      await remove();
    },
  };
}
