"use strict";
{
    const key = document.getElementById("issued-key");
    const copy = document.getElementById("copy-key");

    // Reloading would send the form again, which the server refuses: lead to the key's page instead.
    history.replaceState(null, "", key.dataset.next);

    // Only a secure context (https or localhost) has a clipboard.
    if (navigator.clipboard) {
        copy.hidden = false;
        copy.addEventListener("click", async () => {
            await navigator.clipboard.writeText(key.textContent);
            copy.textContent = "Copied";
        });
    }
}
