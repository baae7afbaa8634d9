import { type Command, Option } from 'commander';

import { formatComparison, TABLE_FORMATS, type TableFormat } from '../../comparison/format.js';
import { type CliContext, print } from '../context.js';

export function addTable(program: Command, context: CliContext): void {
  program
    .command('table')
    .argument('<run...>', 'run folders that "aaunet evaluate" has scored')
    .summary('put evaluated runs side by side')
    .description("Prints the runs' Dice of each type with 95 % intervals, and what each network costs.")
    .addOption(new Option('--format <format>', 'what to print').choices(TABLE_FORMATS).default('md'))
    .option('--paper <file>', 'JSON of figures to stand beside: {"rsu-sc": {"ICH": 0.5, "mean": 0.4}}')
    .addHelpText('after', '\nExample:\n  aaunet table runs/rsu runs/rsu-sc --format latex > table.tex')
    .action(async (runs: string[], { format, paper }: { format: TableFormat; paper?: string }) => {
      const { readComparedRun } = await import('../../comparison/compared-run.js');
      const { compareRuns, readPaperFigures } = await import('../../comparison/comparison.js');
      const compared = [];
      for (const run of runs) compared.push(await readComparedRun(run));
      const figures = paper === undefined ? undefined : await readPaperFigures(paper);
      print(context, formatComparison(compareRuns(compared, figures), format));
    });
}
