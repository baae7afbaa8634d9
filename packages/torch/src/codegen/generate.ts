import type { Schema, SchemaArgument } from '../native.js';
import { trustsItsArguments } from '../trusting.js';

const ELEMENT_TYPES: Record<string, string> = {
  Tensor: 'Tensor',
  int: 'number',
  SymInt: 'number',
  float: 'number',
  bool: 'boolean',
  SymBool: 'boolean',
  str: 'string',
  Scalar: 'Scalar',
  ScalarType: 'Dtype',
  Device: 'string',
  Layout: "'strided'",
  MemoryFormat: 'MemoryFormat',
  Generator: 'null',
};

/** The TypeScript type of a schema's type, or undefined when JavaScript cannot hold one. */
function typeOf(schemaType: string): string | undefined {
  if (schemaType.endsWith('?')) {
    const inner = typeOf(schemaType.slice(0, -1));
    return inner && (inner === 'null' ? inner : `${inner} | null`);
  }
  if (schemaType.endsWith('[]')) {
    const inner = typeOf(schemaType.slice(0, -2));
    return inner && (inner.includes(' ') ? `(${inner})[]` : `${inner}[]`);
  }
  return ELEMENT_TYPES[schemaType];
}

function argumentType(argument: SchemaArgument): string | undefined {
  const type = typeOf(argument.type);
  if (type?.endsWith('[]')) {
    const one = argument.length === undefined ? '' : `${type.slice(0, -2)} | `;
    return `${one}readonly ${type}`;
  }
  return type?.replace(/(\S+)\[\] \| null/, 'readonly $1[] | null');
}

function isOptional(argument: SchemaArgument): boolean {
  return argument.optional || argument.type.endsWith('?');
}

function property(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

const RESERVED = new Set(['default', 'with', 'in', 'from', 'var', 'new', 'function', 'this', 'import', 'export']);

/** `(self: Tensor, other: Tensor, options?: { alpha?: Scalar }): Tensor`, or undefined when a type has no counterpart. */
function signature(schema: Schema): string | undefined {
  const positional = schema.arguments.filter((argument) => !argument.keyword);
  const keywords = schema.arguments.filter((argument) => argument.keyword);
  const parts: string[] = [];
  for (const [index, argument] of positional.entries()) {
    const type = argumentType(argument);
    if (type === undefined) return undefined;
    const name = RESERVED.has(argument.name) ? `${argument.name}_` : argument.name;
    const trailing = positional.slice(index).every(isOptional) && keywords.every(isOptional);
    if (trailing) parts.push(`${name}?: ${type}`);
    else parts.push(`${name}: ${type}${isOptional(argument) ? ' | undefined' : ''}`);
  }
  if (keywords.length > 0) {
    const fields: string[] = [];
    for (const argument of keywords) {
      const type = argumentType(argument);
      if (type === undefined) return undefined;
      fields.push(`${property(argument.name)}${isOptional(argument) ? '?' : ''}: ${type}`);
    }
    parts.push(`options${keywords.every(isOptional) ? '?' : ''}: { ${fields.join('; ')} }`);
  }
  const returns = schema.returns.map(typeOf);
  if (returns.includes(undefined)) return undefined;
  const result = returns.length === 0 ? 'void' : returns.length === 1 ? returns[0]! : `[${returns.join(', ')}]`;
  return `(${parts.join(', ')}): ${result}`;
}

/** The text of `aten.gen.ts`: a type for every ATen operator among `schemas` that `aten` calls. */
export function generateAtenTypes(schemas: readonly Schema[], version: string): string {
  const families = new Map<string, Map<string, string>>();
  for (const schema of schemas) {
    if (!schema.name.startsWith('aten::')) continue;
    const text = signature(schema);
    if (text === undefined) continue;
    const name = schema.name.slice('aten::'.length);
    if (trustsItsArguments(name, schema.overload)) continue;
    const overloads = families.get(name) ?? new Map<string, string>();
    overloads.set(schema.overload, text);
    families.set(name, overloads);
  }
  const lines = [
    `// DO NOT EDIT: generated from the operators of LibTorch ${version} by 'npm run generate -w @aaunet/torch'.`,
    "import type { Dtype, MemoryFormat, Scalar, Tensor } from './tensor.js';",
    '',
    `export const ATEN_VERSION = ${JSON.stringify(version)};`,
    '',
    'export interface AtenOperators {',
  ];
  for (const [name, overloads] of [...families].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const members = [...overloads]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([overload, text]) => `${overload === '' ? '' : property(overload)}${text}`);
    lines.push(`  ${property(name)}: { ${members.join('; ')} };`);
  }
  return [...lines, '}', ''].join('\n');
}
