import { onScopeDispose, ref, type Ref } from 'vue';
import { bridge } from '../client.ts';
import { useWorkbench } from '../stores/workbench.ts';

/**
 * In a browser: asks before the tab is closed while something runs. Browsers put the question in words of their own, so `stayed`
 * becomes true for whoever stays, and the page says what would have happened. Electron's window asks by itself.
 */
export function useClosing(): { stayed: Ref<boolean> } {
  const workbench = useWorkbench();
  const stayed = ref(false);
  function ask(event: BeforeUnloadEvent): void {
    if (bridge !== null || !workbench.busy) return;
    event.preventDefault();
    // Runs after the question, and only where the page is still there.
    setTimeout(() => {
      stayed.value = true;
    }, 0);
  }
  globalThis.addEventListener('beforeunload', ask);
  onScopeDispose(() => {
    globalThis.removeEventListener('beforeunload', ask);
  });
  return { stayed };
}
