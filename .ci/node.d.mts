export const root: string;
export const nodePackages: Readonly<Record<string, string>>;
export function findNode(): string | null;
export function nodeHeaders(): string;
