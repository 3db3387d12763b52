// Preloaded (--import) by processes with a planted bug: installs the hooks of planted-loader.ts.

import { register } from 'node:module';

register('./planted-loader.js', import.meta.url);
