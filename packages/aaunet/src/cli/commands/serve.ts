import { once } from 'node:events';

import type { Command } from 'commander';
import { serve } from '../../server/serve.js';
import { type CliContext, integerOf, interruptible, print } from '../context.js';

interface ServeFlags {
  model?: string;
  port: number;
  host: string;
}

export function addServe(program: Command, context: CliContext): void {
  program
    .command('serve')
    .summary('serve the viewer, which outlines lesions in the browser')
    .description(
      'Serves the viewer and a model on this machine until Ctrl-C. Scans are opened inside the page; nothing is uploaded.',
    )
    .option('--model <model>', 'ONNX file of "aaunet export" or a run folder; without it the page asks for a file')
    .option('--port <n>', 'port; 0 takes a free one', integerOf(0, { most: 65_535 }), 8080)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .addHelpText('after', '\nExample:\n  aaunet serve --model model.onnx')
    .action(async ({ model, port, host }: ServeFlags) => {
      await interruptible(context, async (signal) => {
        const server = await serve({ model, port, host, signal });
        print(context, server.url);
        context.stderr.write('Open the address in a browser; Ctrl-C stops.\n');
        if (!signal.aborted) await once(signal, 'abort');
        await server.close();
      });
    });
}
