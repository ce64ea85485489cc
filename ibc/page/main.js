import { start } from "./app.js";
import { serve } from "./worker.js";

start(serve);
