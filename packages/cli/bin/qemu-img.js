#!/usr/bin/env node
// Started by the script beside it, which chooses a Node and how it uses memory; may be started directly where no limit holds.
import { launch } from './launch.js';

await launch({ name: 'qemu-img', entry: 'qemu-img/main', bundle: 'qemu-img', run: 'runQemuImg' });
