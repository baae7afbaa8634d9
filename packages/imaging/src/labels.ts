/** What a voxel of a label map can be: its number, short name, full name and display colour (red, green, blue). */
export interface Label {
  readonly id: number;
  readonly name: string;
  readonly title: string;
  readonly color: readonly [number, number, number];
}

/**
 * The seven hemorrhage types in the order of the paper's Table I; 0 is background and not listed. Their colours stay apart in
 * all three kinds of colour blindness and on a dark scan.
 */
export const LABELS = [
  { id: 1, name: 'ICH', title: 'intracerebral haemorrhage', color: [220, 87, 62] },
  { id: 2, name: 'SDH', title: 'subdural haemorrhage', color: [40, 102, 255] },
  { id: 3, name: 'SAH', title: 'subarachnoid haemorrhage', color: [255, 255, 0] },
  { id: 4, name: 'EDH', title: 'epidural haemorrhage', color: [5, 168, 147] },
  { id: 5, name: 'CSDH', title: 'chronic subdural haemorrhage', color: [200, 160, 236] },
  { id: 6, name: 'Pneumocranium', title: 'intracranial air', color: [200, 255, 254] },
  { id: 7, name: 'IVH', title: 'intraventricular haemorrhage', color: [235, 149, 5] },
] as const satisfies readonly Label[];

export type LabelName = (typeof LABELS)[number]['name'];

/** Whether a label (1 to 7) is blood: all are but air. */
export const isBlood = (id: number): boolean => labelById(id).name !== 'Pneumocranium';

/** Classes of a network's output: the seven labels and background. */
export const CLASS_COUNT = LABELS.length + 1;

/** The number of every class by name, background's too: the table that model files carry. */
export const LABEL_NUMBERS: Readonly<Record<string, number>> = {
  background: 0,
  ...Object.fromEntries(LABELS.map(({ name, id }) => [name, id])),
};

/** In which way a table of names and numbers is another than `LABEL_NUMBERS`; undefined where it is the same. */
export function labelTableFault(table: Readonly<Record<string, unknown>>): string | undefined {
  const known = Object.entries(LABEL_NUMBERS);
  const expected = `expected ${known.map(([name, id]) => `${name} ${id}`).join(', ')}`;
  for (const [name, id] of Object.entries(table)) {
    const shown = `${JSON.stringify(name.slice(0, 40))} ${String(id).slice(0, 40)}`;
    if (!Object.hasOwn(LABEL_NUMBERS, name) || LABEL_NUMBERS[name] !== id) return `${expected}, found ${shown}`;
  }
  const missing = known.find(([name]) => !Object.hasOwn(table, name));
  return missing && `${expected}, found no ${missing[0]}`;
}

/** The label with this number; throws for background (0) and anything outside 1..7. */
export function labelById(id: number): Label {
  const label = LABELS.find((candidate) => candidate.id === id);
  if (label === undefined) throw new Error(`Expected a label number from 1 to ${LABELS.length}, found ${id}.`);
  return label;
}

/** The label with this name, whatever its case; throws a sentence that lists the known names. */
export function labelByName(name: string): Label {
  const wanted = name.toLowerCase();
  const label = LABELS.find((candidate) => candidate.name.toLowerCase() === wanted);
  if (label === undefined) {
    const known = LABELS.map((candidate) => candidate.name).join(', ');
    throw new Error(`Expected one of the labels ${known}, found "${name}".`);
  }
  return label;
}
