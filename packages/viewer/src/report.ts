import { count, formatMl, labelById, spacingOf } from '@aaunet/imaging';

import type { Origin } from './origin.js';
import { bloodMl, type Finding } from './session.js';
import type { Study } from './study.js';

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

export interface Reported {
  readonly study: Study;
  readonly findings: readonly Finding[];
  readonly origin: Origin;
  readonly warnings: readonly string[];
  /** Data URL of what the page shows. */
  readonly picture: string;
}

function wordsOf(origin: Origin): string {
  const corrected = origin.isEdited ? ', corrected by hand' : ', not corrected by hand';
  switch (origin.kind) {
    case 'network':
      return `Outlined by ${escape(origin.model.name)} (weights SHA-256 ${escape(origin.model.sha256)})${corrected}.`;
    case 'file':
      return `Masks of the file ${escape(origin.name)}${corrected}.`;
    case 'hand':
      return 'Outlined by hand.';
    case 'nobody':
      return 'Nobody has looked for lesions.';
  }
}

/** The one-page report, complete in itself; the picture is what the page shows. */
export function reportPage({ study, findings, origin, warnings, picture }: Reported): string {
  const { scan } = study;
  const rows = findings.map(({ id, name, ml, slice, isAssessed }) => {
    const { title, color } = labelById(id);
    const found = ml > 0 ? formatMl(ml) : isAssessed ? 'none found' : 'not assessed';
    return `<tr><td><i style="background:rgb(${color.join()})"></i>${name} <small>${title}</small></td><td>${found}</td><td>${slice === undefined ? '' : slice + 1}</td></tr>`;
  });
  const [x, y] = spacingOf(scan.affine);
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>Haemorrhage report</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:1.5rem auto;padding:0 1rem}h1{font-size:1.4rem;margin:0}
.w{border-left:4px solid #b45309;background:#fff3d6;color:#222;padding:.25rem .7rem;margin:.4rem 0}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.2rem .5rem;border-bottom:1px solid #ccc}i{display:inline-block;width:.8em;height:.8em;margin-right:.5em}
img{max-width:100%;max-height:12cm;background:#000}small{color:#555}</style></head><body>
<h1>${escape(study.name)}</h1>
${warnings.map((text) => `<p class="w">${escape(text)}</p>`).join('\n')}
<h2>Findings: ${formatMl(bloodMl(findings))} mL of blood</h2>
<table><tr><th>Type</th><th>mL</th><th>Most in slice</th></tr>${rows.join('\n')}</table>
<p>${wordsOf(origin)}</p>
<p>${count(scan.slices, 'slice')} of ${scan.columns} x ${scan.rows} pixels of ${x.toFixed(2)} x ${y.toFixed(2)} mm; ${study.source === 'dicom' ? 'DICOM' : 'NIfTI'}. Slices are numbered from inferior.</p>
<img alt="The slice on view with its masks" src="${picture}"></body></html>
`;
}
