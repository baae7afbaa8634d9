import type { Command } from 'commander';
import { formatInspection, inspect } from '../../inference/inspect.js';
import { type CliContext, print } from '../context.js';

interface InspectFlags {
  json?: true;
  series?: string;
  png?: string;
}

export function addInspect(program: Command, context: CliContext): void {
  program
    .command('inspect')
    .argument('<path>', 'NIfTI file, DICOM file, folder, zip archive or DICOMDIR')
    .summary('say what is in a file, folder or zip archive')
    .description(
      'Lists the axial CT series with geometry, HU, checksum and problems, and why other files were not used. The series that predict would take is marked with *.',
    )
    .option('--json', 'print JSON instead of text')
    .option('--series <uid>', 'choose this series (Series Instance UID; UID#2 is the second stack under one UID)')
    .option('--png <file>', 'write a contact sheet of the chosen series')
    .addHelpText('after', '\nExample:\n  aaunet inspect study.zip --png study.png')
    .action(async (path: string, { json, series, png }: InspectFlags) => {
      const inspection = await inspect(path, { seriesUid: series, png });
      print(context, json ? JSON.stringify(inspection, null, 2) : formatInspection(inspection));
    });
}
