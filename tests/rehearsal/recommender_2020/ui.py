"""The page of 2020."""

import streamlit as st

st.title("Activity Recommender of 2020")
st.write("Choose a tool on the left.")
