#!/usr/bin/env node
import { launch } from './launch.js';

await launch({ name: 'diskmorph', entry: 'main', bundle: 'diskmorph', run: 'runDiskmorph' });
