// ESP Web Tools tells the browser's console each octet that it sends, a Wi-Fi password's too: here that is told nobody.
"use strict";

console.debug = () => {};
