// Runs at `npm ci`, before anything is built: finds or fetches LibTorch and compiles the addon. `--force` starts over.
import path from 'node:path';
import { installAddon } from './installer.mjs';
import { say } from './progress.mjs';

const script = import.meta.filename;
const again = `run "node ${path.relative(process.env.INIT_CWD ?? process.cwd(), script)}"`;
let ready = false;
try {
  const packageFolder = path.resolve(import.meta.dirname, '..');
  ready = await installAddon({ packageFolder, force: process.argv.includes('--force'), again });
} catch (error) {
  say(`the native part of @aaunet/torch could not be installed: ${error.message}; mend that and ${again}`);
}
// npm must not fail: imaging, the viewer and prediction with ONNX need no LibTorch. Run by hand, the exit code tells.
const byNpm = process.env.npm_lifecycle_event === 'install';
process.exitCode = ready || byNpm ? 0 : 1;
