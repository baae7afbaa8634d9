import type { Command } from 'commander';
import { markdownTable } from '../../metrics/evaluation-report.js';
import { type CliContext, print } from '../context.js';

export function addModels(program: Command, context: CliContext): void {
  program
    .command('models')
    .summary('list the networks')
    .description('Lists the networks with their parameters, cost of one 512x512 image and reference.')
    .option('--json', 'print JSON instead of a table')
    .option('--all', 'every composition of an encoder and a decoder, not the featured networks alone')
    .addHelpText('after', '\nExample:\n  aaunet models --json')
    .action(async ({ json, all }: { json?: true; all?: true }) => {
      const { listModels } = await import('../../models/registry.js');
      const models = listModels({ all: all ?? false });
      if (json) {
        print(context, JSON.stringify(models, null, 2));
        return;
      }
      const rows = models.map(({ name, description, parameters, gflop, reference }) => [
        name,
        (parameters / 1e6).toFixed(2),
        gflop.toFixed(1),
        description,
        reference,
      ]);
      print(context, markdownTable(['name', 'M parameters', 'GFLOP at 512x512', 'description', 'reference'], rows));
    });
}
