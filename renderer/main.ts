import './session.ts';
import { createPinia } from 'pinia';
import { createApp } from 'vue';
import '@fontsource-variable/inter/wght.css';
import App from './App.vue';
import { router } from './router.ts';
import './styles/tokens.css';
import './styles/base.css';

createApp(App).use(createPinia()).use(router).mount('#app');
