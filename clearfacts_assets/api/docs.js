// Starts Swagger UI on the page's contract. "Execute" sends what the page's reader may send: the session's cookie, and
// its CSRF token, unless another login was typed in.
"use strict";

const place = document.getElementById("docs");

window.SwaggerUIBundle({
  url: place.dataset.contract,
  domNode: place,
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "none",
  filter: true,
  defaultModelsExpandDepth: -1,
  validatorUrl: null, // no word to another host
  syntaxHighlight: { activated: false },
  requestInterceptor: (request) => {
    const own = new URL(request.url, location.href).origin === location.origin;
    const changes = !["GET", "HEAD"].includes((request.method || "GET").toUpperCase());
    if (own && changes && place.dataset.csrf && !request.headers.Authorization) {
      request.headers["X-CSRF-Token"] = place.dataset.csrf;
    }
    return request;
  },
});
