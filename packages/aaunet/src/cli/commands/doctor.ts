import type { Command } from 'commander';
import { type CliContext, print } from '../context.js';

export function addDoctor(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .summary('say what this machine has, and how to mend what is missing')
    .description('Checks LibTorch, device, threads and instruction sets, and says how to mend what is missing.')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  aaunet doctor')
    .action(async ({ json }: { json?: true }) => {
      const { doctor } = await import('../../doctor.js');
      const checks = await doctor();
      if (json) print(context, JSON.stringify(checks, null, 2));
      else {
        for (const { name, status, found, remedy } of checks) {
          print(context, `${status.padEnd(7)}  ${name}: ${found}${remedy === '' ? '' : `\n         ${remedy}`}`);
        }
      }
      const problems = checks.filter(({ status }) => status === 'problem').length;
      if (problems > 0)
        throw new Error(`${problems} of ${checks.length} checks found a problem; the lines above say how to mend it.`);
    });
}
