export interface ShippingPackage {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  readonly path: string;
}
export const bundled: readonly string[];
export const allowed: readonly string[];
export function shippingPackages(names?: readonly string[]): ShippingPackage[];
export function isAllowed(licence: string): boolean;
export function licencesPage(): string;
