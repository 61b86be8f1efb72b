import { computed, watchEffect } from 'vue';
import { useRoute } from 'vue-router';
import { useWorkbench } from '../stores/workbench.ts';
import { texts } from '../texts.ts';

/** Says in the window's title what page it shows, and of which experiment. */
export function useTitle(): void {
  const route = useRoute();
  const workbench = useWorkbench();
  const page = computed(() => {
    const name = String(route.name ?? '');
    const id = String(route.params['id'] ?? '');
    const experiment = workbench.experiments.find((each) => each.id === id)?.name ?? id;
    return [(texts.titles as Record<string, string>)[name] ?? '', experiment].filter((part) => part !== '');
  });
  watchEffect(() => {
    document.title = [...page.value, texts.product].join(' · ');
  });
}
