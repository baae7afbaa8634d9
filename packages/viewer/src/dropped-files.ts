import type { NamedBlob } from '@aaunet/imaging';

/** Files of a drop, folders with all that is below them. */
export async function droppedFiles(transfer: DataTransfer): Promise<NamedBlob[]> {
  // Entries are only there while the event is handled.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (entries.length === 0) return [...transfer.files].map((blob) => ({ name: blob.name, blob }));
  const found: NamedBlob[] = [];
  const visit = async (entry: FileSystemEntry): Promise<void> => {
    if (entry.isFile) {
      const blob = await new Promise<File>((resolve, reject) => {
        (entry as FileSystemFileEntry).file(resolve, reject);
      });
      found.push({ name: entry.fullPath.replace(/^\//, ''), blob });
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      // A browser gives a hundred at a time.
      const part = await new Promise<FileSystemEntry[]>((resolve, reject) => {
        reader.readEntries(resolve, reject);
      });
      if (part.length === 0) return;
      for (const one of part) await visit(one);
    }
  };
  for (const entry of entries) await visit(entry);
  return found;
}

/** Files that a user chose. */
export function chosenFiles(list: FileList | null): NamedBlob[] {
  return [...(list ?? [])].map((blob) => ({ name: blob.webkitRelativePath || blob.name, blob }));
}
