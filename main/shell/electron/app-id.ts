/** The program's name for the system: notifications of Windows, bundles of macOS, and electron-builder's `appId`. */
export const appId = 'org.tritsmith.workbench';
