import fs from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import yauzl from 'yauzl';
import { megabytes, throttled } from './progress.mjs';

/** Larger than any LibTorch with CUDA; an archive that claims more is not one. */
export const MAX_BYTES = 16e9;
/** Four times the headers of LibTorch 2.13 with CUDA. */
export const MAX_ENTRIES = 200_000;

// Python bindings and PyTorch's own test libraries: nothing here links to them.
const UNUSED_LIBRARIES = /^lib(torch_python|jitbackend_test|torchbind_test|backend_with_compiler|aoti_custom_ops)\.so/;

/**
 * Where an entry of a torch wheel, an nvidia wheel or a LibTorch zip goes under the unpacked folder, or undefined where
 * it is not needed. Libraries of CUDA stay in `nvidia/` beside `torch/`, where LibTorch's own search path expects them.
 */
export function destinationOf(entryName) {
  const parts = entryName.split('/');
  if (parts.some((part) => part === '' || part === '.')) return undefined;
  const library = /\.so(\.\d+)*$/.test(entryName);
  if (parts[0] === 'nvidia') {
    const wanted = (library && parts.includes('lib')) || parts.includes('include');
    return wanted ? entryName : undefined;
  }
  if (parts[0] !== 'torch' && parts[0] !== 'libtorch') return undefined;
  const inside = parts.slice(1).join('/');
  if (parts[1] === 'include' && parts.length > 2) return `torch/${inside}`;
  if (parts[1] === 'lib' && parts.length === 3 && library && !UNUSED_LIBRARIES.test(parts[2])) return `torch/${inside}`;
  return undefined;
}

/** Joins a name out of an archive to a folder; throws where the result would lie outside it. */
export function safeJoin(folder, name) {
  const target = path.resolve(folder, name);
  const relative = path.relative(path.resolve(folder), target);
  const inside = relative !== '' && relative.split(path.sep)[0] !== '..' && !path.isAbsolute(relative);
  if (!inside || name.includes('\0') || name.includes('\\')) {
    throw new Error(`the archive names a file outside its folder (${JSON.stringify(name)}): refused`);
  }
  return target;
}

/**
 * Unpacks what an addon needs out of a wheel or LibTorch zip into `folder` and returns the number of files. Throws on
 * names that leave the folder and on sizes beyond `limits`; sizes are also enforced while inflating.
 */
export async function unpack(archive, folder, report, limits = { bytes: MAX_BYTES, entries: MAX_ENTRIES }) {
  // Strict names: yauzl refuses absolute paths, backslashes and `..` before an entry is seen.
  const zip = await yauzl.openPromise(archive, { strictFileNames: true, validateEntrySizes: true });
  const progress = throttled(report);
  const folders = new Set();
  let bytes = 0;
  let files = 0;
  try {
    if (zip.entryCount > limits.entries) {
      throw new Error(`${path.basename(archive)} claims ${zip.entryCount} files, more than ${limits.entries}: refused`);
    }
    for await (const entry of zip.eachEntry()) {
      const name = destinationOf(entry.fileName);
      if (name === undefined) continue;
      bytes += entry.uncompressedSize;
      if (bytes > limits.bytes) {
        throw new Error(`${path.basename(archive)} unpacks to more than ${megabytes(limits.bytes)}: refused`);
      }
      const target = safeJoin(folder, name);
      const parent = path.dirname(target);
      if (!folders.has(parent)) {
        fs.mkdirSync(parent, { recursive: true });
        folders.add(parent);
      }
      // wx: an archive that names a file twice is broken.
      await pipeline(await zip.openReadStreamPromise(entry), fs.createWriteStream(target, { flags: 'wx' }));
      files += 1;
      progress(() => `unpacking: ${files} files, ${megabytes(bytes)}`);
    }
  } finally {
    zip.close();
  }
  return files;
}
