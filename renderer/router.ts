import { createRouter, createWebHistory } from 'vue-router';
import HomePage from './pages/HomePage.vue';

/** Every page but the first is a bundle of its own. */
export const router = createRouter({
  history: createWebHistory('/'),
  routes: [
    { path: '/', name: 'home', component: HomePage },
    {
      path: '/experiments/:id',
      component: () => import('./pages/ExperimentPage.vue'),
      props: true,
      children: [
        { path: '', name: 'run', component: () => import('./pages/RunPage.vue') },
        { path: 'results', name: 'results', component: () => import('./pages/ResultsPage.vue') },
        { path: 'exports', name: 'exports', component: () => import('./pages/ExportsPage.vue') },
        { path: 'recipe', name: 'recipe', component: () => import('./pages/RecipePage.vue') },
      ],
    },
    { path: '/new/:draft?', name: 'create', component: () => import('./pages/WizardPage.vue') },
    { path: '/experiments', name: 'experiments', component: () => import('./pages/ExperimentsPage.vue') },
    { path: '/compare', name: 'compare', component: () => import('./pages/ComparePage.vue') },
    { path: '/playground', name: 'playground', component: () => import('./pages/PlaygroundPage.vue') },
    { path: '/benchmarks', name: 'benchmarks', component: () => import('./pages/BenchmarksPage.vue') },
    { path: '/machine', name: 'machine', component: () => import('./pages/MachinePage.vue') },
    { path: '/:unknown(.*)*', redirect: '/' },
  ],
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
});

// A screen reader hears the new page's heading, and the keyboard goes on behind it. Between the parts of an experiment the focus stays.
router.afterEach((to, from) => {
  if (to.path === from.path || from.matched.length === 0) return;
  if (to.params['id'] !== undefined && to.params['id'] === from.params['id']) return;
  requestAnimationFrame(() => {
    const place = document.querySelector<HTMLElement>('main h1') ?? document.getElementById('content');
    if (place?.tagName === 'H1') place.tabIndex = -1;
    place?.focus({ preventScroll: true });
  });
});
