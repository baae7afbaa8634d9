import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { serve, type ViewerServer } from './serve.js';

let folder: string;
let server: ViewerServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aaunet-serve-'));
  await mkdir(join(folder, 'page', 'assets'), { recursive: true });
  await writeFile(join(folder, 'page', 'index.html'), '<p>page</p>');
  await writeFile(join(folder, 'page', 'assets', 'a.wasm'), 'wasm');
  await writeFile(join(folder, 'secret.txt'), 'secret');
  await symlink(join(folder, 'secret.txt'), join(folder, 'page', 'link.txt'));
  await writeFile(join(folder, 'm.onnx'), 'model');
  server = await serve({ page: join(folder, 'page'), model: join(folder, 'm.onnx'), port: 0 });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

/** Asks for a path as it is written, which fetch would tidy. */
function ask(path: string, method = 'GET', headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.url);
    request({ hostname, port, path, method, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

describe('serve', () => {
  it('offers page and model with the headers that threads and privacy need', async () => {
    const response = await fetch(server.url);
    expect(await response.text()).toBe('<p>page</p>');
    expect(response.headers.get('cross-origin-opener-policy')).toBe('same-origin');
    expect(response.headers.get('cross-origin-embedder-policy')).toBe('require-corp');
    expect(response.headers.get('content-security-policy')).toContain("connect-src 'self'");
    expect(await (await fetch(`${server.url}model.onnx`)).text()).toBe('model');
    expect((await fetch(`${server.url}assets/a.wasm`)).headers.get('content-type')).toBe('application/wasm');
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:/);
  });

  it('gives nothing outside of the page, and takes nothing', async () => {
    for (const path of [
      '/../secret.txt',
      '/%2e%2e/secret.txt',
      '/..%2fsecret.txt',
      '/link.txt',
      '/assets',
      '/%zz',
      '/a%00b',
    ]) {
      expect([path, await ask(path)]).toEqual([path, 404]);
    }
    expect(await ask('/', 'POST')).toBe(405);
    expect(await ask('/', 'PUT')).toBe(405);
  });

  it('answers to the names of this machine alone, so that no page elsewhere can read through a name of its own', async () => {
    const { port } = new URL(server.url);
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'LOCALHOST', '[::1]:80', hostname()]) {
      expect([host, await ask('/', 'GET', { host })]).toEqual([host, 200]);
    }
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', 'localhost@evil', '[x']) {
      expect([host, await ask('/model.onnx', 'GET', { host })]).toEqual([host, 421]);
    }
  });

  it('lets nothing run in the page but its own files', async () => {
    const policy = (await fetch(server.url)).headers.get('content-security-policy') ?? '';
    const rules = new Map(policy.split('; ').map((rule) => [rule.split(' ')[0], rule.split(' ').slice(1).join(' ')]));
    expect(rules.get('default-src')).toBe("'none'");
    expect(rules.get('script-src')).toBe("'self' 'wasm-unsafe-eval'");
    expect(rules.get('frame-ancestors')).toBe("'none'");
    expect(policy).not.toMatch(/\*|https?:|'unsafe-(inline|eval)'/);
  });

  it('ends a connection that asks for too much', async () => {
    const { hostname: host, port } = new URL(server.url);
    const said = await new Promise<string>((resolve, reject) => {
      let text = '';
      const socket = connect(Number(port), host, () =>
        socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`),
      );
      socket.on('data', (bytes) => (text += String(bytes)));
      socket.on('error', reject);
      socket.on('close', () => {
        resolve(text);
      });
    });
    expect(said).toMatch(/^HTTP\/1\.1 431 /);
  });

  it('says what is wrong with model, page and port', async () => {
    await expect(serve({ page: join(folder, 'none') })).rejects.toThrow('npm run build');
    const page = join(folder, 'page');
    await expect(serve({ page, model: join(folder, 'none.onnx') })).rejects.toThrow('aaunet export');
    await expect(serve({ page, model: join(folder, 'run') })).rejects.toThrow('Expected a network: a run folder');
    await expect(serve({ page, host: 'nowhere.invalid' })).rejects.toThrow('Name one with --host');
    const port = Number(new URL(server.url).port);
    await expect(serve({ page: join(folder, 'page'), port })).rejects.toThrow('--port');
  });
});
