// Package browser holds tests only: pages in a real browser, headless Chromium, speak
// to the weft command over WebSocket; MQTT by mqtt.js, as its authors ship it.
// node_modules comes from npm ci (.ci/setup).
package browser
