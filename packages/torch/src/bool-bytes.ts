/** A byte that is no bool, if there is one: other bytes than 0 and 1 are undefined behaviour in the C++ that will use them. */
export function wrongBool(bytes: Uint8Array): number | undefined {
  return bytes.find((byte) => byte > 1);
}
