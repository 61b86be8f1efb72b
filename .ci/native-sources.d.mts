export function digest(paths: readonly string[]): string;
export function nativeSources(): string[];
export function prebuildFolder(platform: string, arch: string): string;
export function isCurrentPrebuild(folder: string, sources?: string): boolean;
