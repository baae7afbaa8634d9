import { join } from 'node:path';

import { LABELS, type LabelName } from '@aaunet/imaging';
import { z } from 'zod';

import { UNKNOWN_LABEL, UNKNOWN_NAME } from '../datasets/annotation.js';
import { lineageSchema, slicePlacesSchema } from '../datasets/dataset.js';
import { inTruePlaces } from '../datasets/read-case.js';
import { readJson } from '../schema-errors.js';
import { unmatched } from './bhsd.js';
import { listFiles, niftiFilesIn, type FoundFile } from './files.js';
import type { Importer, Notes } from './importer.js';
import { cq500Lineage, rsnaLineage } from './lineage.js';
import { readPair, valueMapping } from './masks.js';

const labelNames = LABELS.map(({ name }) => name) as [LabelName, ...LabelName[]];

/** dataset.json of nnU-Net v2 (labels: name to number) or v1 (labels: number to name; modality for channel_names). */
const schema = z.looseObject({
  name: z.string().max(200).optional(),
  channel_names: z.record(z.string(), z.string()).optional(),
  modality: z.record(z.string(), z.string()).optional(),
  labels: z.record(z.string(), z.union([z.int(), z.string(), z.array(z.int())])),
  patients: z.record(z.string(), z.string().min(1).max(120)).optional(),
  // Our own keys, where the data set is one of ours.
  annotated: z.array(z.enum(labelNames)).optional(),
  untyped: z.array(z.enum(labelNames)).optional(),
  synthetic: z.boolean().optional(),
  approximateHu: z.boolean().optional(),
  lineage: z.record(z.string(), lineageSchema).optional(),
  ...slicePlacesSchema.shape,
});

/** What other data sets call the types of Table I. */
const SYNONYMS: Readonly<Record<string, LabelName>> = {
  iph: 'ICH',
  intraparenchymal: 'ICH',
  intracerebral: 'ICH',
  subdural: 'SDH',
  subarachnoid: 'SAH',
  epidural: 'EDH',
  extradural: 'EDH',
  chronicsubdural: 'CSDH',
  intraventricular: 'IVH',
  pneumocephalus: 'Pneumocranium',
  intracranialair: 'Pneumocranium',
};

/** The label that a name means, in any writing; undefined where it is none of Table I's. */
export function labelNamed(name: string): LabelName | undefined {
  const plain = name
    .toLowerCase()
    .replaceAll(/[^a-z]/g, '')
    .replace(/(haemorrhage|hemorrhage|haematoma|hematoma|bleeding)$/, '');
  return LABELS.find((label) => label.name.toLowerCase() === plain)?.name ?? SYNONYMS[plain];
}

/** nnU-Net's raw format (v1 and v2) with labels in any order and under any of their usual names. */
export const nnunet: Importer = {
  title: "nnU-Net's raw format",
  layout: 'dataset.json, imagesTr and labelsTr',
  async plan(source) {
    const files = await listFiles(source);
    const masks = niftiFilesIn(files, /^labelsTr\/$/);
    const all = niftiFilesIn(files, /^imagesTr\/$/);
    if (masks.size === 0 || all.size === 0) return undefined;
    const path = join(source, 'dataset.json');
    const file = await readJson(path, schema);
    const channels = Object.values(file.channel_names ?? file.modality ?? { 0: 'CT' });
    if (channels.length !== 1) {
      throw new Error(`Expected one channel, CT, in ${path}, found ${channels.join(', ')}.`);
    }
    const { mapping, annotated, hasUnknown } = readLabels(file.labels, path);
    const images = new Map([...all].map(([name, image]) => [name.replace(/_0000$/, ''), image]));
    return {
      name: file.name ?? 'nnU-Net data set',
      annotated: file.annotated ?? annotated,
      untyped: file.untyped,
      hasUnknown,
      synthetic: file.synthetic,
      approximateHu: file.approximateHu,
      cases: [...images].flatMap(([name, image]: [string, FoundFile]) => {
        const mask = masks.get(name);
        if (mask === undefined) return [];
        const places = { slicePositions: file.slicePositions?.[name], sliceExtents: file.sliceExtents?.[name] };
        return [
          {
            name,
            patient: file.patients?.[name] ?? name,
            lineage: file.lineage?.[name] ?? rsnaLineage(name) ?? cq500Lineage(name),
            files: [image.absolute, mask.absolute],
            settings: { labels: file.labels, ...places },
            read: async (notes: Notes) => {
              const found = await readPair(image.absolute, mask.absolute, mapping, notes);
              return { ...found, image: inTruePlaces(found.image, name, places) };
            },
          },
        ];
      }),
      skipped: unmatched(images, masks),
    };
  },
};

function readLabels(labels: z.output<typeof schema>['labels'], path: string) {
  const values: Record<number, number> = {};
  const annotated: LabelName[] = [];
  let hasUnknown = false;
  for (const [key, value] of Object.entries(labels)) {
    // Version 1 has them the other way round.
    const [name, number] = typeof value === 'string' ? [value, Number(key)] : [key, value];
    if (typeof number !== 'number' || !Number.isInteger(number)) {
      throw new Error(`Expected a number for each label in ${path}, found regions (${name}): use kind "pairs".`);
    }
    if (number === 0) continue;
    const label = labelNamed(name);
    if (name === UNKNOWN_NAME) {
      values[number] = UNKNOWN_LABEL;
      hasUnknown = true;
    } else if (label === undefined) {
      throw new Error(
        `Expected labels named ${LABELS.map((item) => item.name).join(', ')} or alike in ${path}, found "${name}": use kind "pairs", which takes a map of labels.`,
      );
    } else {
      values[number] = LABELS.find((item) => item.name === label)!.id;
      annotated.push(label);
    }
  }
  return { mapping: valueMapping(values), annotated, hasUnknown };
}
