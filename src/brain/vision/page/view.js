export function show(element, api) {}
