import { onUnmounted, ref, watchEffect } from 'vue';
import { useWorkbench } from '../stores/workbench.ts';

/** The theme in effect, light or dark. */
export const effectiveTheme = ref<'light' | 'dark'>('light');

/** Puts the chosen colours on the document, following the system where that is the choice. */
export function useTheme(): void {
  const workbench = useWorkbench();
  const query = globalThis.matchMedia('(prefers-color-scheme: dark)');
  const system = ref(query.matches);
  const follow = (event: MediaQueryListEvent): void => {
    system.value = event.matches;
  };
  query.addEventListener('change', follow);
  onUnmounted(() => {
    query.removeEventListener('change', follow);
  });
  watchEffect(() => {
    const { theme } = workbench.settings;
    effectiveTheme.value = theme === 'system' ? (system.value ? 'dark' : 'light') : theme;
    document.documentElement.dataset['theme'] = effectiveTheme.value;
  });
}
