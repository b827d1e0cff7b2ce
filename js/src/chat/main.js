// The page of the chat.

import { ReconnectingSockJS } from "../reconnecting/index.js";

globalThis.ReconnectingSockJS = ReconnectingSockJS;
