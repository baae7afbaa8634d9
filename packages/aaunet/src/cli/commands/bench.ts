import { type Command, Option } from 'commander';
import type { ProfileRow } from '@aaunet/torch';
import { markdownTable } from '../../metrics/evaluation-report.js';
import { type CliContext, integerOf, print } from '../context.js';
import { checkAskedModel } from '../model-name.js';

interface BenchFlags {
  model: string;
  size: number;
  batch: number;
  dtype: 'bf16' | 'fp32';
  phase: 'train' | 'infer' | 'both';
  steps: number;
  threads?: number;
  device: 'cpu' | 'cuda';
  profile?: true;
  json?: true;
}

const SHOWN_OPERATORS = 25;

/** The operators that take longest, and what the others take together. */
function profileTable(rows: readonly ProfileRow[]): string {
  const total = rows.reduce((sum, { seconds }) => sum + seconds, 0);
  const others = rows
    .slice(SHOWN_OPERATORS)
    .reduce(
      (sum, { calls, seconds }) => ({ name: 'others', calls: sum.calls + calls, seconds: sum.seconds + seconds }),
      { name: 'others', calls: 0, seconds: 0 },
    );
  const shown = [...rows.slice(0, SHOWN_OPERATORS), ...(others.calls > 0 ? [others] : [])];
  return markdownTable(
    ['operator', 'calls', 'ms', '%'],
    shown.map(({ name, calls, seconds }) => [
      name,
      String(calls),
      (1000 * seconds).toFixed(1),
      ((100 * seconds) / total).toFixed(1),
    ]),
  );
}

export function addBench(program: Command, context: CliContext): void {
  program
    .command('bench')
    .summary('measure training and inference on this machine')
    .description('Measures seconds an image (medians) of training and inference with random data, and peak memory.')
    .option('--model <name>', 'network, see "aaunet models"', 'rsu-sc')
    .option('--size <n>', 'rows and columns in pixels, a multiple of 32', integerOf(32, { step: 32 }), 512)
    .option('--batch <n>', 'images in a step', integerOf(1), 2)
    .addOption(new Option('--dtype <type>', 'precision').choices(['bf16', 'fp32']).default('bf16'))
    .addOption(new Option('--phase <phase>', 'what to measure').choices(['train', 'infer', 'both']).default('both'))
    .option('--steps <n>', 'measured steps', integerOf(1), 5)
    .option('--threads <n>', 'CPU threads', integerOf(1))
    .addOption(new Option('--device <device>', 'where').choices(['cpu', 'cuda']).default('cpu'))
    .option('--profile', 'also show what each operator takes')
    .option('--json', 'print one line of JSON')
    .addHelpText('after', '\nExample:\n  aaunet bench --size 256 --phase infer --json')
    .action(async ({ json, threads, ...flags }: BenchFlags) => {
      await checkAskedModel(flags.model);
      const { bench } = await import('../../bench.js');
      context.stderr.write(
        `measuring ${flags.model} at ${flags.size}x${flags.size}, batch ${flags.batch}, ${flags.dtype}\n`,
      );
      const result = bench({ ...flags, ...(threads === undefined ? {} : { threads }) });
      for (const [phase, dtype] of [
        ['training', result.train_dtype],
        ['inference', result.infer_dtype],
      ])
        if (dtype && dtype !== flags.dtype)
          context.stderr.write(`${phase} measured in ${dtype}, as it runs on this processor\n`);
      const text = json
        ? JSON.stringify(result)
        : Object.entries(result)
            .map(([key, value]: [string, unknown]) =>
              Array.isArray(value)
                ? `\n${key.replace('_', ' ')}\n${profileTable(value as ProfileRow[])}`
                : `${key}: ${typeof value === 'number' ? Number(value.toPrecision(4)) : String(value)}`,
            )
            .join('\n');
      print(context, text);
    });
}
