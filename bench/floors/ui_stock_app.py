"""The same form and function as `ui_echo.py`, as anybody would write it in Streamlit."""

import time

import streamlit as st

st.title("Echo")
st.markdown("##### Say it louder.")
with st.form("echo"):
    text = st.text_input("Text")
    pressed = st.form_submit_button("Predict")
if pressed:
    time.sleep(0.05)
    st.subheader("Result")
    st.markdown(f"Text: **{text.upper()}**")
    st.markdown(f"Length: **{len(text)}**")
