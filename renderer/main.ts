import './session.ts';
import { createPinia } from 'pinia';
import { createApp } from 'vue';
import '@fontsource-variable/inter/wght.css';
import App from './App.vue';
import { openNotificationsWith } from './notifications.ts';
import { router } from './router.ts';
import './styles/tokens.css';
import './styles/base.css';

openNotificationsWith((path) => void router.push(path));
createApp(App).use(createPinia()).use(router).mount('#app');
